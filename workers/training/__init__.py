"""Fine-tuning a cross-encoder on a site's own queries: inputs, hard negatives, losses, the loop, the record.

`run.train` is the whole path, read first; everything else is one step of it.
"""
