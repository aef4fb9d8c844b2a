"""From bytes to a matrix and its vocabulary, one module per file format.

    local_tensors      opens a local file by its suffix; tensor_file is what all of them are
    safetensors_file   any tensor by byte ranges, local or remote (byte_ranges)
    pickle_file        torch's files: zip_archive, torch_pickle and torch_records; nothing is run
    npy_file, npz_file NumPy arrays, without pickle
    gguf_file          GGUF models, built on gguf_header and gguf_tokenizer
    shards             models in several files

No header is trusted: every length is compared with the file before memory is allocated.
"""
