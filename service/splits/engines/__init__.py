"""Engines that run a method's SQL over lake files; web workers load none of them."""
