"""Batch reranking: jobs that outlive every process, finish exactly once, and stay behind live searches.

spec         what is asked for                          state, scripts, records   job records in Redis
files        local paths and URLs                       slots            chunks under way, over all jobs
items        what is read: queries and documents        scoring          chunks to workers and back
inputs, runs the readers                                resolving        documents of an item: search, or look up
lookup       a corpus by id, on disk                    running          one job, from its input to its output
chunks       the input in pieces                        coordinator      the jobs of one process
ordering     scores to a new order                      control          submit, status, cancel, results, purge
parts        what is done, on disk                      admin, openapi   the same over HTTP
"""
