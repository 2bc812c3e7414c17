"""What a product's title and descriptions call it: a lexicon in eight languages, and rules of which word is the head.

For whoever decides labels and whoever trains on titles; of the product it imports the names of groups and garments
alone.
"""
