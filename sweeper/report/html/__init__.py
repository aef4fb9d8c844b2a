"""The self-contained HTML page about sweeps.

page          what the page shows of each sweep, and writing it (`report.html`)
template      what all pages share: `parts.html`, `page.js`, `report.css`, plotly.js
findings      the sentences at its top
figures       the charts that a kind declares, from the settings in `points`; `bound_line`
effect_figure, placement
              real vs. null, and real between null and positive control
search_figures, parallel_figure
              how a search went, from the settings in `tried`
data_table    tables of many rows as compact arrays, which `page.js` pages and filters; those of
              trials and settings are in `trials_table`
style         colours, dashes and axes of every figure
"""
