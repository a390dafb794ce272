"""Loops: how streams become functions, by lifting over time, regions, registers and straight-line code."""
