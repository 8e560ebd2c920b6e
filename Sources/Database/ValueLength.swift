/// How long a value may be: both engines' libraries count in 32 bits, with a sign.
enum ValueLength {
    /// The length as the libraries take it.
    ///
    /// - Throws: ``DatabaseFault`` when it is beyond 2 GiB: neither engine keeps such a value, and the same again would fail again.
    static func checked(_ length: Int) throws(DatabaseFault) -> Int32 {
        guard let checked = Int32(exactly: length) else {
            throw DatabaseFault(.unavailable, "a value of \(length) bytes or elements is longer than a database takes")
        }
        return checked
    }
}
