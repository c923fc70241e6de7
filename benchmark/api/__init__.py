"""What a method or a data set is given and owes: errors, sites, masks, the pruner and its context, splits, options."""
