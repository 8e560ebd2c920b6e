public import Domain

// Uids and names are written as literals here, and nowhere else: in the product each comes from a request.
extension CollectionUID: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self.init(text) }
}
extension ItemUID: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self.init(text) }
}
extension RevisionUID: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self.init(text) }
}
extension ChunkUID: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self.init(text) }
}
extension CanonicalName: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self.init(text) }
}
extension InvitationUID: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self.init(text) }
}
