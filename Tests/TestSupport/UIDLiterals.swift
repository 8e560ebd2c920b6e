package import Domain

// Uids and names are written as literals here, and nowhere else: in the product each comes from a request.
extension CollectionUID: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) { self.init(text) }
}
extension ItemUID: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) { self.init(text) }
}
extension RevisionUID: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) { self.init(text) }
}
extension ChunkUID: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) { self.init(text) }
}
extension CanonicalName: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) { self.init(text) }
}
extension InvitationUID: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) { self.init(text) }
}
