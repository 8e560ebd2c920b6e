/// Something that the operator has to see to, in one sentence that says what.
package struct OperatorFault: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// A setting that is none, or does not go with another one, in one sentence that says which.
package struct SettingFault: Error, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
