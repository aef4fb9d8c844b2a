"""What kinds that train a model share: optimiser steps, the loop around them, and resuming.

`trainer` takes steps; `training_loop` evaluates and reports between them; `checkpoint` saves a
training; `parts` saves the results of trials that consist of many small parts.
"""
