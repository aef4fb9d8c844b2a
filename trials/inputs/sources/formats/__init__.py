"""From bytes to a matrix and its vocabulary, one module per file format.

    safetensors_file   any tensor by byte ranges, local or remote
    npy_file           NumPy arrays, without pickle
    gguf_file          GGUF models, built on gguf_header and gguf_tokenizer
    pickle_file        pytorch_model.bin, where nothing else exists
    shards             models in several files

No header is trusted: every length is compared with the file before memory is allocated.
"""
