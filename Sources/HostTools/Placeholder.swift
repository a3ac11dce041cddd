enum HostToolsPlaceholder {}
