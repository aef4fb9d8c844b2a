"""The self-contained HTML page about sweeps.

page          what the page shows of each sweep, and writing it (`report.html`, `report.css`)
findings      the sentences at its top
figures       the charts that a kind declares; `effect_figure` draws real vs. null
style         colours, dashes and axes of every figure
"""
