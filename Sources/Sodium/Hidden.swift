/// What holds something that nobody may read in a log or on a screen: described, debugged, dumped or mirrored it tells its type
/// and nothing else. Frameworks describe what they run when they log at `debug`.
package protocol Unprinted: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {}

extension Unprinted {
    /// The name of the type.
    package var description: String { "\(Self.self)(not printed)" }
    /// The name of the type.
    package var debugDescription: String { description }
    /// Has no children.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// A value that is not printed with what holds it: a key, a secret, an address with a password.
package struct Hidden<Value: Sendable>: Sendable, Unprinted {
    /// The value, for whoever works with it.
    package let value: Value

    package init(_ value: Value) { self.value = value }

    /// Tells not even what it is of.
    package var description: String { "(not printed)" }
}

extension Hidden: Equatable where Value: Equatable {}
extension Hidden: Hashable where Value: Hashable {}
