"""Load a Keras model file and say what it is: `load_model.py FILE`.

Exit codes: 0 it loads, 77 there is no Keras to load it with, anything else it does not load.
"""

from __future__ import annotations

import sys


def main(path: str) -> int:
    """Load the model in safe mode, so that no code in it runs."""
    try:
        import keras
    except ImportError as error:
        print(f"no Keras: {error}")
        return 77
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    print(f"loaded {path}: {type(model).__name__} with {model.count_params()} parameters")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
