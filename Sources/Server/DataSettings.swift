internal import Contents
package import Database
package import Domain
package import S3
package import Sodium

/// Where a database is.
package enum DatabasePlace: Sendable {
    case sqlite(path: String)
    case postgres(url: String)
}

/// An S3 store, and what it is opened with.
package struct ObjectSettings: Sendable {
    package let address: S3Address
    /// Nil where they were not given.
    let keys: S3Keys?

    package init(_ address: S3Address, _ keys: S3Keys?) { (self.address, self.keys) = (address, keys) }

    func contents(_ database: any Database) throws(SettingFault) -> ObjectContents { ObjectContents(try bucket(), database: database) }

    /// What is asked of the store.
    package func bucket() throws(SettingFault) -> S3Bucket {
        guard let keys else { throw SettingFault("an S3 store needs APUS_S3_ACCESS_KEY and APUS_S3_SECRET_KEY, or files with them") }
        do throws(S3Fault) { return try S3Bucket(address, keys) } catch { throw SettingFault(error.description) }
    }
}

/// Where everything lies that is kept.
package struct DataSettings: Sendable {
    /// The folder of everything that is kept.
    package var folder: String
    /// Where log and read model lie.
    package var database: DatabasePlace
    /// `postgres://…`: where reads are answered from instead; nil for ``database``.
    package var readDatabaseURL: String?
    /// The folder of the files of chunks.
    package var chunkFolder: String
    /// Who may read those files.
    package var chunkReaders = KeptFiles.Readers.owner
    /// The S3 store in which contents of chunks lie, or may lie; nil where there is none.
    package var objects: ObjectSettings?
    /// The secret that was given; nil for the one in the folder.
    package var secret: Hidden<[UInt8]>?
    /// What holds for all users who have no quota of their own.
    package var quota: Quota

    package init(
        folder: String, database: DatabasePlace, readDatabaseURL: String?, chunkFolder: String, secret: Hidden<[UInt8]>?,
        chunkReaders: KeptFiles.Readers = .owner, objects: ObjectSettings? = nil, quota: Quota = .none
    ) {
        self.folder = folder
        self.database = database
        self.readDatabaseURL = readDatabaseURL
        self.chunkFolder = chunkFolder
        self.secret = secret
        self.chunkReaders = chunkReaders
        self.objects = objects
        self.quota = quota
    }

    /// - Throws: ``SettingFault`` for settings that do not go together.
    package func requireConsistent() throws(SettingFault) {
        if case .sqlite = database, readDatabaseURL != nil {
            throw SettingFault("APUS_READ_DATABASE_URL needs APUS_DATABASE_URL: on SQLite there is one database")
        }
    }
}
