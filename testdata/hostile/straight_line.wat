;; attacks: limits.deadline, with a loop of 200 kB of code that doesn't branch: a counter of turns is hours behind
;; grown: 10
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; with: fuel=5000000
;; gets: resource_exhausted limit=fuel
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (local $x f64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (local.set $x (f64.const 2))
    (loop
      ;; repeat 3300
      (local.set $x (f64.sqrt (f64.div (local.get $x) (local.get $x))))
      ;; end
      (br 0))
    (unreachable)))
