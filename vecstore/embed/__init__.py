"""Texts to vectors, through models that other packages carry; never needed to store or search."""
