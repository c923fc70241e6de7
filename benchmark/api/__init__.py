"""What methods and data sets are written against: errors, sites, masks, the pruner, splits of data, options."""
