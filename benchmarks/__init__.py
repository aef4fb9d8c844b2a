"""Ratios to named peers, both sides measured in one run and checked by one certificate.

    sparse_coding, penalty_path, dictionary_learning    kernels vs. SPAMS and scikit-learn
    training                                            pretraining vs. a plain PyTorch loop
    service                                             cost of journal and store per trial
    queries                                             questions to a store vs. mlflow.search_runs
    search                                              regret on measured curves vs. Optuna's TPE
    coders                                              which coder stands first, on planted rows
    calibration                                         error rates of the statistical tests
    gpu_check                                           a GPU vs. two cores, sharing, memory

`make bench` runs the first seven, `make calibration` and `make gpu-check` the last two. They share
`problem` (the rows and penalties), `measure` (interleaved timing, the table) and `command`
(options). No test asserts a time; `tests/test_benchmarks.py` checks that both sides reach the same
certificate or loss.
"""
