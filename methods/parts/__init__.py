"""What methods are put together from: scores, budgets of layers, schedules, projections."""
