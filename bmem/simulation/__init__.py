"""From hard events to reconstructed pairs: ``pairs.simulate`` runs a ``contract.Response``."""
