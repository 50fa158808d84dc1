"""The sequence model: vocabulary, training, storage, inference."""
