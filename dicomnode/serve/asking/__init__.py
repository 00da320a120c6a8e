"""Asking archives: how many images a study has, and for earlier studies."""
