"""Where a matrix comes from, one module per URI scheme: hub, gguf, file, run, wheel.

Every module has `digest(source)`, which is cheap, and `load(source, fetch)`. Those of local files
have `check(source)`, and those with a tokenizer `tokenizer_json(source)`.
"""
