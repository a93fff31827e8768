"""TensorFlow Serving's wire: message classes, tensors, records, clients and the server process.

Shared by `serving` (server, gateway) and `components` (candidate check, deployment), which may not
import each other. Nothing here imports TensorFlow.
"""
