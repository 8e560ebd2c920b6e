/// Something that the operator has to see to, in one sentence that says what.
struct OperatorFault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
