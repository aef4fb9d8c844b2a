"""Rows and directions whose structure is known: none (nulls), or what was planted.

null_rows          rows in place of an embedding matrix's, matched to it in chosen moments
planted_sparse     the positive control: sparse rows matched to an embedding matrix's
moments            mean and covariance that the two above match
null_directions    unit directions with the moments of given atoms
random_embeddings  rows for an embedding that is never trained
planted            sparse rows and curves whose truth is known
"""
