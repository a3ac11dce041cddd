enum RepairPlaceholder {}
