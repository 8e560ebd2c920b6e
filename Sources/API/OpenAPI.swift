internal import Hummingbird
internal import HTTPTypes

/// The API described for programs, made from the table of routes.
enum OpenAPI {
    static func document(of routes: Routes) -> Response {
        var paths: [(pattern: String, operations: [String])] = []
        for route in routes.all where route.pattern.hasPrefix("/api/") {
            let operation = "\"\(route.method.rawValue.lowercased())\":{\"responses\":{\"default\":{\"description\":\"MessagePack\"}}}"
            if let index = paths.firstIndex(where: { $0.pattern == route.pattern }) {
                paths[index].operations.append(operation)
            } else {
                paths.append((route.pattern, [operation]))
            }
        }
        let items = paths.map { "\"\($0.pattern)\":{\(parameters($0.pattern))\($0.operations.joined(separator: ","))}" }
        return Answer.text(
            .ok, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Etebase\",\"version\":\"1\"},\"paths\":{\(items.joined(separator: ","))}}",
            type: MediaType.json)
    }

    private static func parameters(_ pattern: String) -> String {
        let names = pattern.split(separator: "/").filter { $0.first == "{" }.map { $0.dropFirst().dropLast() }
        guard !names.isEmpty else { return "" }
        let items = names.map { "{\"name\":\"\($0)\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}" }
        return "\"parameters\":[\(items.joined(separator: ","))],"
    }
}
