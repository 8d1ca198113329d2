"""``python -m bmem`` is the command ``bmem``."""

from bmem.cli import main

if __name__ == "__main__":
    main()
