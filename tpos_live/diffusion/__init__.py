"""From conditioning to a frame: model, sampling, backends."""
