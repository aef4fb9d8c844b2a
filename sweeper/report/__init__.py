"""What it means: listings, figures, reports."""
