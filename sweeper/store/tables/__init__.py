"""Tables that trials left as artifacts, as relations of a query: `table('atoms')`.

- `calls`: finds the calls in the text of a query and replaces them by names.
- `files`: one artifact (CSV, Parquet, or arrays of one length) as an Arrow table; types of columns.
- `relations`: which artifacts a call means, fetched and verified, as one typed table.

DuckDB never opens a file: what a query may see is read here and handed over.
"""
