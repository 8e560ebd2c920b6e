extension String {
    /// The text as it may be shown at a terminal, on one line and between tabs: what clients chose may hold escapes that move
    /// the cursor, line ends that make a second entry of one, or marks that turn the rest of the line around.
    ///
    /// Everything that is not seen where it stands is written as an escape of Swift: controls and what formats, separators but
    /// the blank, what is private or assigned to nothing. A backslash is doubled, so that no two texts look alike by that.
    package var visible: String {
        guard unicodeScalars.contains(where: { !$0.isVisible || $0 == "\\" }) else { return self }
        return unicodeScalars.map { scalar in
            switch scalar {
            case "\\": #"\\"#
            case "\n": #"\n"#
            case "\r": #"\r"#
            case "\t": #"\t"#
            case _ where scalar.isVisible: String(scalar)
            default: #"\u{"# + String(scalar.value, radix: 16) + "}"
            }
        }.joined()
    }
}

extension String {
    /// A line that is made up of texts, some of them perhaps a stranger's: with everything written out that is not seen where it
    /// stands, but for the tabs between columns.
    package var visibleLine: String {
        guard unicodeScalars.contains(where: { !$0.isVisible && $0 != "\t" }) else { return self }
        return unicodeScalars.map { $0.isVisible || $0 == "\t" ? String($0) : String($0).visible }.joined()
    }
}

extension Unicode.Scalar {
    /// Whether it is seen where it stands, and changes nothing about what is around it.
    package var isVisible: Bool {
        if isASCII { return (0x20...0x7e).contains(value) }
        return switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: false
        case .spaceSeparator: self == " "
        default: true
        }
    }
}
