"""The HTTP contract: one module a noun, bound to openapi.yaml at start-up."""
