"""Applications of the matrix element method, one folder each."""
