extension String {
    /// The text with everything that could steer a terminal shown instead of sent: control characters, also those of
    /// Unicode that turn the direction of writing. What comes from a guest passes here before it reaches a person.
    public var escapedForTerminal: String {
        var text = ""
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                text += "\\u{\(String(scalar.value, radix: 16))}"
            default:
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
