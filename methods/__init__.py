"""The registry of pruning methods. Adding one is a file in this folder and a line in this table."""

METHODS: dict[str, str] = {
    "dense": "base:Dense",
    "global_mp": "magnitude:GlobalMagnitude",
    "layerwise_mp": "magnitude:LayerwiseMagnitude",
    "snip": "snip:Snip",
    "grasp": "grasp:GraSP",
    "random": "random_pruning:RandomPruning",
}
