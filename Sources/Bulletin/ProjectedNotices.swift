internal import Domain
package import EventLog

extension Notice {
    /// What there is to tell of events that are in the tables now.
    ///
    /// - Parameter records: at least one, in the order of the log.
    package static func projected(_ records: [RecordedEvent]) -> [Notice] {
        guard let last = records.last else { return [] }
        var collections: Set<CollectionUID> = []
        var users: Set<UserID> = []
        for record in records {
            for stream in record.streams {
                switch stream {
                case .collection(let collection): collections.insert(collection)
                // The streams of users are touched by much that their sockets need not know.
                case .user(let user): if stream == record.stream { users.insert(user) }
                case .createdUser: break
                }
            }
        }
        return [.projected(upTo: last.position, collections: Array(collections))] + users.map { .userChanged($0) }
    }
}
