"""The network and how it learns: the one room of TensorFlow and Keras.

For `pipeline` and `reports`, which import it when they train; no page and no labelling worker ever loads it.
"""
