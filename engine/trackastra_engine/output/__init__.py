"""What a lineage is written to: masks, tables and a page."""
