"""The registry of pruning methods. Adding one is a file in this folder and a line in this table."""

METHODS: dict[str, str] = {
    "dense": "dense:Dense",
    "global_mp": "magnitude:GlobalMagnitude",
    "layerwise_mp": "magnitude:LayerwiseMagnitude",
    "snip": "snip:Snip",
    "grasp": "grasp:GraSP",
    "random": "random_pruning:RandomPruning",
    # controls
    "shuffled": "shuffled:Shuffled",
    "reinit": "reinit:Reinit",
    "small_dense": "small_dense:SmallDense",
    "dense_longer": "dense_longer:DenseLonger",
    "random_columns": "random_columns:RandomColumns",
    "random_subspace": "random_subspace:RandomSubspace",
    # before training
    "synflow": "synflow:SynFlow",
    "force": "force:Force",
    "iterative_snip": "force:IterativeSnip",
    "magnitude_init": "magnitude_init:MagnitudeInit",
    "random_init": "random_init:RandomInit",
    # after training
    "lamp": "lamp:Lamp",
    "erk_mp": "erk_magnitude:ErkMagnitude",
    "uniform_plus_mp": "uniform_plus:UniformPlusMagnitude",
    "imp": "lottery_ticket:IterativeMagnitude",
    "obd": "obd:DiagonalFisher",
    "woodfisher": "woodfisher:WoodFisher",
    "nm_magnitude": "nm_magnitude:NmMagnitude",
    "global_mp_columns": "column_magnitude:ColumnMagnitude",
    "global_mp_flops": "macs_magnitude:MacsMagnitude",
    "filter_l1": "filter_norm:FilterL1",
    "filter_l2": "filter_norm:FilterL2",
    # after training, without retraining
    "row_magnitude": "row_magnitude:RowMagnitude",
    "wanda": "wanda:Wanda",
    "sparsegpt": "sparsegpt:SparseGPT",
    "obc": "obc:OBC",
    "alps": "alps:ALPS",
    # during training
    "gmp": "gradual_magnitude:GradualMagnitude",
    "ac_dc": "ac_dc:AcDc",
    "dpf": "dpf:DPF",
    "dnw": "dnw:DNW",
    "str": "soft_threshold:STR",
    "edge_popup": "edge_popup:EdgePopup",
    # dynamic sparse training
    "set": "set_evolution:SET",
    "rigl": "rigl:RigL",
    "sm": "sparse_momentum:SparseMomentum",
    "snfs": "snfs:SNFS",
    "dsr": "dsr:DSR",
}
