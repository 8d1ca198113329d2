"""How a product is shown: for each kind a module of functions from its record to tables, figures and sentences."""
