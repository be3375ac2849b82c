"""Modules that are needed later, imported while TensorFlow computes."""

import importlib
import threading


def import_ahead(*modules):
    """Imports modules in a thread. One that cannot be imported fails where it is needed, not here."""

    def import_all():
        for module in modules:
            try:
                importlib.import_module(module)
            except Exception:  # whatever a broken installation raises
                return

    threading.Thread(target=import_all, daemon=True).start()
