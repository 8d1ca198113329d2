"""From hard events to reconstructed pairs: ``simulate.simulate`` runs a ``contract.Response``."""
