"""Code generation: the only importer of llvmlite."""
