"""What a version must be before anything of it is run: its files are those that were published, its graph only computes.

A model is a program. Whoever loads one (the model server, a step that scores the champion) asks `loading.admit` first; who reads
files of a version and runs nothing (the gateway, a pull from an object store) asks `provenance.admit_files`.
"""
