"""What every kind that trains a model shares: the steps, and how they go on after a kill."""
