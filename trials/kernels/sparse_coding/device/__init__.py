"""Coders as batches of matrix products in torch, for GPUs.

    admm, admm_steps    LASSO codes, each with its certificate in float64
    matching_pursuit    greedy codes
    supports            least squares, and LASSO codes, on given supports
    device_codes        sparse codes on a device; only their CSR parts are ever transferred
    memory              block sizes that fit in memory, retries with smaller blocks, TF32

`lasso`, `omp` and the learners of `dictionaries` call these when their `device` is not "cpu", the
name of the compiled loops. "cpu:0" runs this code on the CPU, as the tests do. ADMM also runs on
the CPU, on several threads, where codes are dense.
"""
